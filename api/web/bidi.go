package web

import (
	"fmt"
	"html/template"
	"strings"
	"text/template/parse"
	"unicode"
)

// apart has templates print what stands in a bdi element so that it stays there. A
// browser keeps the direction of the text apart by characters of its own, from U+2068 to
// U+2069 (UAX #9 §2.4.2), and a U+2069 in the text ends that early: a title could then
// turn round the words after it. Marks that are piled up on a letter cover the lines above.
func apart(all *template.Template) *template.Template {
	for _, t := range all.Templates() {
		if t.Tree != nil {
			within(t.Tree.Root, false)
		}
	}
	return all
}

// apartFuncs are what apart puts into templates.
var apartFuncs = template.FuncMap{"contained": contained}

// maxMarks is how many marks of one letter are printed. No spelling has so many.
const maxMarks = 8

// contained takes embeddings, overrides and isolates out of a text, and all but the first
// marks of a letter.
func contained(v any) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if marks++; !unicode.IsMark(r) {
			marks = 0
		}
		if marks > maxMarks || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return -1
		}
		return r
	}, fmt.Sprint(v))
}

// within goes through a part of a template that begins in a bdi element or not, and
// returns where it ends.
func within(list *parse.ListNode, in bool) bool {
	if list == nil {
		return in
	}
	branch := func(b *parse.BranchNode) {
		within(b.ElseList, in)
		in = within(b.List, in)
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			if begins, ends := strings.LastIndex(string(n.Text), "<bdi"), strings.LastIndex(string(n.Text), "</bdi>"); begins != ends {
				in = begins > ends
			}
		case *parse.ActionNode:
			if in && len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier("contained").SetPos(n.Pos)}})
			}
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		}
	}
	return in
}
